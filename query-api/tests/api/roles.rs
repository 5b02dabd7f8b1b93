//! Which roles may use which route: as it is, as the document says, and as the documentation says.

use api_conventions::{contradictions, routes_and_roles};
use domain::api_keys::Role;

use crate::actors::Actor;
use crate::platform::Platform;

fn holder_of(platform: &Platform, role: Role) -> &Actor {
    match role {
        Role::Merchant => &platform.merchant,
        Role::MerchantRead => &platform.reader,
        Role::Operator => &platform.operator,
        Role::Auditor => &platform.auditor,
        Role::Analyst => &platform.analyst,
    }
}

async fn status(actor: &Actor, method: &str, path: &str) -> u16 {
    let answer = match method {
        "GET" => actor.get(path).await,
        "POST" => actor.ask(path, "{}").await,
        other => panic!("{other} {path} is no query"),
    };
    answer.status.as_u16()
}

#[tokio::test]
async fn every_route_takes_the_keys_of_the_roles_that_it_names_and_no_others() {
    let platform = Platform::new().await;
    for route in routes_and_roles(&query_api::openapi()) {
        let (method, path) = (route.method, route.example_path());
        let path = path.as_str();
        let roles = route.roles.expect("every query is asked with a key");
        for role in Role::ALL {
            let status = status(holder_of(&platform, role), method, path).await;
            assert!(![401, 405].contains(&status), "{method} {path} as {}: {status}", role.name());
            let (refused, expected) = (status == 403, !roles.contains(&role));
            assert_eq!(refused, expected, "{method} {path} as {}: {status}", role.name());
        }
        assert_eq!(status(&platform.anonymous, method, path).await, 401, "{method} {path}");
    }
}

#[test]
fn the_documentation_says_who_may_use_which_route() {
    let tables = include_str!("../../../docs/ROLES.md");
    let list = include_str!("../../../docs/API.md");
    let found = contradictions(&query_api::openapi(), tables, list);
    assert!(found.is_empty(), "docs/ROLES.md or docs/API.md:\n{}", found.join("\n"));
}
