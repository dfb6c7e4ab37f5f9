use forge_tests::program::{block, effect, gate};
use forge_tests::{Host, Services};
use std::time::Instant;
#[tokio::test]
async fn measure() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let run = host.api().start_program(&services, block![effect("a"), gate("g")]).await;
    services.until_asked("g", 1).await;
    for n in 0..5 {
        host.kill();
        let begun = Instant::now();
        host.restart().await;
        let serving = begun.elapsed();
        services.until_asked("g", n + 2).await;
        println!("serving after {serving:?}, progress after {:?}", begun.elapsed());
    }
    services.open("g");
    host.api().settled(&run).await;
}
