//! Elements by what a screen reader says of them: their role and their name, as the browser computes them.

use serde_json::{Value, json};
use thirtyfour::prelude::*;

/// The attribute by which an element of the accessibility tree is found in the page. Its value is the node's number.
const MARK: &str = "data-found-by-a-test";

/// Returns the elements with this role and name, in the page's order. A page that is being left has none.
pub(crate) async fn find(driver: &WebDriver, role: &str, name: &str) -> Vec<WebElement> {
    let mut found = Vec::new();
    for node in query(driver, json!({"role": role, "accessibleName": name})).await.unwrap_or_default() {
        if let Some(element) = element(driver, &node).await {
            found.push(element);
        }
    }
    found
}

/// Returns the names of the elements with this role, in the page's order.
pub(crate) async fn names(driver: &WebDriver, role: &str) -> Vec<String> {
    let nodes = query(driver, json!({"role": role})).await.expect("the page has an accessibility tree");
    nodes.iter().map(|node| node["name"]["value"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Returns the nodes of the accessibility tree that a query selects, without those that are hidden from it.
async fn query(driver: &WebDriver, query: Value) -> Option<Vec<Value>> {
    let cdp = driver.cdp();
    let document = cdp.send_raw("DOM.getDocument", json!({"depth": 0})).await.ok()?;
    let mut query = query;
    query["backendNodeId"] = document["root"]["backendNodeId"].clone();
    let answer = cdp.send_raw("Accessibility.queryAXTree", query).await.ok()?;
    let nodes = answer["nodes"].as_array()?;
    Some(nodes.iter().filter(|node| node["ignored"] != true).cloned().collect())
}

/// Returns the page's element of a node. The driver knows elements by selectors only, so the node gets a mark.
async fn element(driver: &WebDriver, node: &Value) -> Option<WebElement> {
    let id = node["backendDOMNodeId"].as_u64()?;
    let cdp = driver.cdp();
    let object = cdp.send_raw("DOM.resolveNode", json!({"backendNodeId": id})).await.ok()?;
    let mark = json!({
        "objectId": object["object"]["objectId"],
        "functionDeclaration": format!("function () {{ this.setAttribute('{MARK}', '{id}'); }}"),
    });
    cdp.send_raw("Runtime.callFunctionOn", mark).await.ok()?;
    let element = driver.find(By::Css(format!("[{MARK}='{id}']"))).await.ok()?;
    element.is_displayed().await.unwrap_or(false).then_some(element)
}
