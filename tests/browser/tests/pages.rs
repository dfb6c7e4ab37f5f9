//! What holds for every page: it complains about nothing, is read by a screen reader, and fits every screen.

use forge_browser_tests::Browser;
use forge_tests::Host;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_quiet_and_has_one_heading() {
    let host = Host::start().await;
    let browser = Browser::start().await;
    for page in ["runs"] {
        browser.open(&format!("{}/{page}", host.url())).await;
        assert_eq!(browser.names("heading").await.len(), 1, "{page}");
        browser.picture(page).await;
    }
    browser.close().await;
}
