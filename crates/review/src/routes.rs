//! Every route and who may use it. What is not in this table is not served, even if a handler exists.

use doors::people::Person;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anyone who reaches the listener.
    Anyone,
    /// A signed-in person, whatever the roles.
    Session,
    /// Any role: `admin`, `reviewer` or `auditor`.
    Reader,
    /// `reviewer` or `admin`: opens and closes tasks, makes passes, hands in signed grants.
    Steward,
    /// `reviewer`: decides, sees held results, releases.
    Reviewer,
}

impl Needs {
    /// Whether `person` may.
    pub(crate) fn allows(self, person: Option<&Person>) -> bool {
        let has = |roles: &[&str]| person.is_some_and(|p| p.roles.iter().any(|r| roles.contains(&r.as_str())));
        match self {
            Self::Anyone => true,
            Self::Session => person.is_some(),
            Self::Reader => has(&["admin", "reviewer", "auditor"]),
            Self::Steward => has(&["admin", "reviewer"]),
            Self::Reviewer => has(&["reviewer"]),
        }
    }
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// HTTP method; `GET` also answers `HEAD`.
    pub method: &'static str,
    /// Path as matched, with `{name}` segments.
    pub path: &'static str,
    /// Who may use it.
    pub needs: Needs,
}

const fn route(method: &'static str, path: &'static str, needs: Needs) -> Route {
    Route { method, path, needs }
}

/// Every route. The golden file `authz.golden` is made from it.
pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/static/app.js", Needs::Anyone),
    route("GET", "/static/style.css", Needs::Anyone),
    route("GET", "/login", Needs::Anyone),
    route("POST", "/login", Needs::Anyone),
    route("GET", "/login/provider", Needs::Anyone),
    route("GET", "/login/provider/callback", Needs::Anyone),
    route("POST", "/login/provider/logout", Needs::Anyone),
    route("POST", "/logout", Needs::Session),
    route("POST", "/logout/everywhere", Needs::Session),
    route("GET", "/enroll", Needs::Anyone),
    route("POST", "/enroll", Needs::Anyone),
    route("POST", "/enroll/finish", Needs::Anyone),
    route("GET", "/join", Needs::Anyone),
    route("POST", "/join", Needs::Anyone),
    route("GET", "/", Needs::Reader),
    route("GET", "/r/{id}", Needs::Reader),
    route("POST", "/r/{id}/approve", Needs::Reviewer),
    route("GET", "/together", Needs::Reviewer),
    route("POST", "/together/sign", Needs::Reviewer),
    route("POST", "/r/{id}/changes", Needs::Reviewer),
    route("POST", "/r/{id}/reject", Needs::Reviewer),
    route("POST", "/r/{id}/take-over", Needs::Reviewer),
    route("POST", "/r/{id}/rows", Needs::Reviewer),
    route("GET", "/runs/{run}", Needs::Reviewer),
    route("POST", "/runs/{run}", Needs::Reviewer),
    route("POST", "/runs/{run}/release", Needs::Reviewer),
    route("POST", "/runs/{run}/undo", Needs::Reviewer),
    route("GET", "/runs/{run}/receipt", Needs::Reader),
    route("GET", "/tasks", Needs::Reader),
    route("GET", "/tasks/{id}", Needs::Reader),
    route("POST", "/tasks/{id}/pass", Needs::Steward),
    route("POST", "/stop", Needs::Reader),
    route("POST", "/grants", Needs::Steward),
    route("POST", "/grants/sign", Needs::Steward),
    route("GET", "/authorize", Needs::Steward),
    route("POST", "/authorize", Needs::Steward),
    route("GET", "/alerts", Needs::Reader),
    route("GET", "/audit", Needs::Reader),
    route("GET", "/audit/checkpoint", Needs::Reader),
    route("GET", "/settings", Needs::Reader),
    route("GET", "/events", Needs::Reader),
    route("POST", "/api/v1/login/challenge", Needs::Anyone),
    route("POST", "/api/v1/login", Needs::Anyone),
    route("POST", "/api/v1/logout", Needs::Session),
    route("GET", "/api/v1/person", Needs::Session),
    route("GET", "/api/v1/queue", Needs::Reader),
    route("GET", "/api/v1/proposals/{id}", Needs::Reader),
    route("POST", "/api/v1/proposals/{id}/approve", Needs::Reviewer),
    route("POST", "/api/v1/together", Needs::Reviewer),
    route("POST", "/api/v1/proposals/{id}/changes", Needs::Reviewer),
    route("POST", "/api/v1/proposals/{id}/reject", Needs::Reviewer),
    route("POST", "/api/v1/proposals/{id}/take-over", Needs::Reviewer),
    route("POST", "/api/v1/proposals/{id}/rows", Needs::Reviewer),
    route("GET", "/api/v1/runs/{run}/held", Needs::Reviewer),
    route("POST", "/api/v1/runs/{run}/release-statement", Needs::Reviewer),
    route("POST", "/api/v1/runs/{run}/release", Needs::Reviewer),
    route("POST", "/api/v1/runs/{run}/undo", Needs::Reviewer),
    route("GET", "/api/v1/overview", Needs::Reader),
    route("GET", "/api/v1/key-requests", Needs::Steward),
    route("POST", "/api/v1/grant-statement", Needs::Steward),
    route("POST", "/api/v1/grants", Needs::Steward),
    route("POST", "/api/v1/passes", Needs::Steward),
    route("POST", "/api/v1/policy/replay", Needs::Steward),
    route("POST", "/api/v1/stop", Needs::Reader),
    route("GET", "/api/v1/alerts", Needs::Reader),
    route("GET", "/api/v1/audit", Needs::Reader),
    route("GET", "/api/v1/checkpoint", Needs::Reader),
    route("GET", "/api/v1/receipt/{run}", Needs::Reader),
    route("GET", "/api/v1/from-guard/{id}", Needs::Reader),
];

/// The entry for a matched path.
pub(crate) fn find(method: &str, path: &str) -> Option<&'static Route> {
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|r| r.method == method && r.path == path)
}
