use crate::{http, mcp, oauth};

/// Everything an agent can do, one line each: MCP tools, MCP methods, HTTP routes. The committed list is `verbs.golden`.
pub fn verbs() -> Vec<String> {
    let tools = mcp::tool_names().map(|name| format!("tool {name}"));
    let own = ["tool TARGET__TOOL -> propose".to_owned()];
    let methods = mcp::METHODS.into_iter().map(|method| format!("mcp {method}"));
    let routes = http::ROUTES.into_iter().map(|(method, path, verb)| format!("http {method} {path} -> {verb}"));
    let fixed = ["POST /mcp", "GET /openapi.json", "GET /healthz"].map(|route| format!("http {route}"));
    let oauth = oauth::ROUTES.into_iter().map(|(method, path)| format!("http {method} {path}"));
    tools.chain(own).chain(methods).chain(routes).chain(fixed).chain(oauth).collect()
}
