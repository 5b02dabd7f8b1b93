//! Which roles may use a route: said once, where the route is listed. It is enforced before the body is read, stands
//! in the OpenAPI document, and is what the tables of the documents are compared with.

use std::fmt::Write;

use axum::routing::MethodRouter;
use domain::api_keys::Role;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem, Paths};

use crate::authenticate::allow;

/// The extension of an operation that names the roles of the keys that may use it.
pub const ROLES_EXTENSION: &str = "x-roles";

/// Restricts a route with its description, such as `routes!` makes it, to keys of these roles.
pub fn for_roles<T, S: Clone + Send + Sync + 'static>(
    roles: &'static [Role],
    (schemas, mut paths, methods): (T, Paths, MethodRouter<S>),
) -> (T, Paths, MethodRouter<S>) {
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    for operation in paths.paths.values_mut().flat_map(operations_mut) {
        let extensions = operation.extensions.get_or_insert_default();
        extensions.insert(ROLES_EXTENSION.to_owned(), names.clone().into());
    }
    // Whoever has a key passes.
    let all = roles.len() == Role::ALL.len();
    (schemas, paths, if all { methods } else { allow(roles, methods) })
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    [get, post, put, patch, delete].into_iter().flatten()
}

/// A route, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRoles {
    /// Its method, in capitals.
    pub method: &'static str,
    /// Its path, with its parameters in braces.
    pub path: String,
    /// The roles of the keys that it takes; `None` where it is let in by something else than a key.
    pub roles: Option<Vec<Role>>,
}

impl RouteRoles {
    /// Its path with an `x` in the place of each parameter.
    pub fn example_path(&self) -> String {
        let mut path = String::new();
        for (index, part) in self.path.split('{').enumerate() {
            let rest = part.split_once('}').map(|(_, rest)| rest);
            path.push_str(if index == 0 { "" } else { "x" });
            path.push_str(rest.unwrap_or(part));
        }
        path
    }

    /// Who may use it, as the lists of routes say it.
    fn who(&self) -> String {
        match self.roles.as_deref() {
            None => "the PSP, by its signature".to_owned(),
            Some(roles) if roles.len() == Role::ALL.len() => "all".to_owned(),
            Some(roles) => roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Every route of a document that [`for_roles`] went into, by path.
pub fn routes_and_roles(document: &OpenApi) -> Vec<RouteRoles> {
    let mut routes = Vec::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ] {
            if let Some(operation) = operation {
                routes.push(RouteRoles { method, path: path.clone(), roles: roles_of(operation) });
            }
        }
    }
    routes
}

fn roles_of(operation: &Operation) -> Option<Vec<Role>> {
    let names = operation.extensions.as_ref()?.get(ROLES_EXTENSION)?.as_array()?;
    Some(names.iter().filter_map(|name| name.as_str()?.parse().ok()).collect())
}

/// The table of roles and routes, in Markdown.
fn table(routes: &[RouteRoles]) -> String {
    let names = Role::ALL.map(|role| format!("`{}`", role.name()));
    let rule = " --- |".repeat(names.len() + 1);
    let mut table = format!("| route | {} |\n|{rule}\n", names.join(" | "));
    for route in routes {
        let cells = Role::ALL.map(|role| match &route.roles {
            None => "no key",
            Some(roles) if roles.contains(&role) => "yes",
            Some(_) => "403",
        });
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{} {}` | {} |", route.method, route.path, cells.join(" | "));
    }
    table
}

/// Where the documentation is not as the document of the API: `tables` has to hold the table of roles and routes, and
/// `list` a row `| method and paths | who | what |` for every route.
pub fn contradictions(document: &OpenApi, tables: &str, list: &str) -> Vec<String> {
    let routes = routes_and_roles(document);
    let mut found = Vec::new();
    let table = table(&routes);
    if !tables.contains(&table) {
        found.push(format!("there is no such table of roles and routes:\n\n{table}"));
    }
    let listed = listed(list, &routes);
    for route in &routes {
        let RouteRoles { method, path, .. } = route;
        match listed.iter().find(|(known, _)| *known == route) {
            None => found.push(format!("{method} {path} is not listed")),
            Some((_, who)) if *who == route.who() => {}
            Some((_, who)) => {
                found.push(format!("{method} {path} is for {}, not for {who}", route.who()));
            }
        }
    }
    found
}

/// Which routes a list in Markdown has, and for whom. The first of a row is `METHOD /path`; those after it may lack
/// the method, and may be the end of a path only, which is added to the one before or takes the place of its end.
fn listed<'a>(list: &str, routes: &'a [RouteRoles]) -> Vec<(&'a RouteRoles, String)> {
    let mut found = Vec::new();
    for row in list.lines().filter(|row| row.starts_with("| `")) {
        // A bar within a path is written `\|`.
        let row = row.replace("\\|", "");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, paths, who, ..] = cells[..] else { continue };
        let (mut method, mut before) = ("", String::new());
        for quoted in paths.split('`').skip(1).step_by(2) {
            let (verb, path) = quoted.split_once(' ').unwrap_or((method, quoted));
            method = verb;
            let path = path.split('?').next().unwrap_or(path);
            let above = before.rsplit_once('/').map_or("", |(above, _)| above);
            for path in [path.to_owned(), format!("{before}{path}"), format!("{above}{path}")] {
                let it = routes.iter().find(|one| one.method == method && one.path == path);
                if let Some(route) = it {
                    found.push((route, who.to_owned()));
                    before = path;
                    break;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &'static str, path: &str, roles: &[Role]) -> RouteRoles {
        RouteRoles { method, path: path.to_owned(), roles: Some(roles.to_vec()) }
    }

    #[test]
    fn a_list_of_routes_is_read() {
        let routes = [
            route("POST", "/v1/a", &[Role::Operator]),
            route("GET", "/v1/b", &Role::ALL),
            route("GET", "/v1/b/{id}", &Role::ALL),
            route("GET", "/v1/b/{id}/more", &Role::ALL),
            route("GET", "/v1/b/{id}/most", &Role::ALL),
            route("POST", "/v1/c", &[Role::Merchant]),
            route("GET", "/v1/d", &[Role::Merchant]),
        ];
        let list = "| command-api | who | what |\n| --- | --- | --- |\n\
            | `POST /v1/a` | operator | makes it |\n\
            | `GET /v1/b`, `/v1/b/{id}`, `/more`, `/most` | all | reads it |\n\
            | `POST /v1/c`, `GET /v1/d?format=a\\|b` | merchant | or so |\n\
            | 400 | malformed | `GET` |\n";
        let read = listed(list, &routes);
        assert_eq!(read.len(), routes.len());
        for (route, who) in read {
            assert_eq!(route.who(), who, "{route:?}");
        }
    }

    #[test]
    fn a_table_has_a_row_a_route_and_a_column_a_role() {
        let signed = RouteRoles { roles: None, ..route("POST", "/v1/hooks", &[]) };
        let table = table(&[route("GET", "/v1/a", &[Role::Operator, Role::Auditor]), signed]);
        assert_eq!(
            table,
            "| route | `merchant` | `merchant_read` | `operator` | `auditor` | `analyst` |\n\
             | --- | --- | --- | --- | --- | --- |\n\
             | `GET /v1/a` | 403 | 403 | yes | yes | 403 |\n\
             | `POST /v1/hooks` | no key | no key | no key | no key | no key |\n"
        );
    }
}
