//! Asking the client to open the reviewer's page: one extra round of `propose` (MCP 2026-07-28, multi-round-trip requests).
//!
//! What comes back is never looked at. "accept" means that somebody agreed to open a link, comes from the agent's machine and
//! approves nothing; "decline" and "cancel" reject nothing, and clients without a screen answer them by themselves.

use std::collections::BTreeMap;

use doors::agents::ProposalAnswer;
use rmcp::RoleServer;
use rmcp::model::{ElicitRequest, ElicitRequestParams, InputRequest, InputRequiredResult};
use rmcp::service::RequestContext;

const KEY: &str = "review";

/// True if the request's client says that it can show a link to a person.
pub(super) fn can_open(context: &RequestContext<RoleServer>) -> bool {
    context.client_capabilities().and_then(|client| client.elicitation).is_some_and(|modes| modes.url.is_some())
}

/// The round: a link without secrets, and the proposal's id as state. The state is looked at as little as the answer; the
/// retried call names the same artifact and so finds the same proposal.
pub(super) fn open(answer: &ProposalAnswer) -> InputRequiredResult {
    let id = answer.proposal_id.to_string();
    let params = ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: format!("Review proposal {id} for {} ({})", answer.target, answer.words),
        url: answer.review_url.clone(),
        elicitation_id: id.clone(),
    };
    let request = InputRequest::Elicitation(ElicitRequest::new(params));
    InputRequiredResult::new(Some(BTreeMap::from([(KEY.to_owned(), request)])), Some(id))
}
