//! Which roles may use which route: as it is, as the document says, and as the documentation says.

use api_conventions::{contradictions, routes_and_roles};
use domain::api_keys::Role;
use serde_json::json;

use crate::actors::Actor;
use crate::app::App;

async fn holder_of(app: &App, role: Role) -> Actor {
    match role {
        Role::Merchant => app.merchant.clone(),
        Role::MerchantRead => app.merchant_read.clone(),
        Role::Operator => app.operator.clone(),
        Role::Auditor | Role::Analyst => {
            let key = json!({"role": role.name()});
            let token = app.operator.post("/v1/api-keys", &key).await.expect(201).text("token");
            Actor { token: Some(token), ..app.operator.clone() }
        }
    }
}

#[tokio::test]
async fn every_route_takes_the_keys_of_the_roles_that_it_names_and_no_others() {
    let app = App::new().await;
    let routes = routes_and_roles(&command_api::openapi());
    for role in Role::ALL {
        let holder = holder_of(&app, role).await;
        for route in &routes {
            let Some(roles) = &route.roles else { continue };
            // Without what every command needs, so that it has no effect.
            let request = holder.request(route.method, &route.example_path());
            let answer = request.without("idempotency-key").send().await;
            let (name, status) = (role.name(), answer.status);
            assert_ne!(status, 401, "{} {} as {name}", route.method, route.path);
            assert_ne!(status, 405, "{} {} as {name}", route.method, route.path);
            let refused = status == 403;
            let expected = !roles.contains(&role);
            assert_eq!(refused, expected, "{} {} as {name}: {status}", route.method, route.path);
        }
    }
    for route in routes.iter().filter(|route| route.roles.is_some()) {
        let request = app.anonymous.request(route.method, &route.example_path());
        assert_eq!(request.send().await.status, 401, "{} {}", route.method, route.path);
    }
    let keyless: Vec<&str> = routes
        .iter()
        .filter(|route| route.roles.is_none())
        .map(|route| route.path.as_str())
        .collect();
    assert_eq!(keyless, ["/v1/webhooks/{psp}"]);
}

#[test]
fn the_documentation_says_who_may_use_which_route() {
    let tables = include_str!("../../../docs/ROLES.md");
    let list = include_str!("../../../docs/API.md");
    let found = contradictions(&command_api::openapi(), tables, list);
    assert!(found.is_empty(), "docs/ROLES.md or docs/API.md:\n{}", found.join("\n"));
}
