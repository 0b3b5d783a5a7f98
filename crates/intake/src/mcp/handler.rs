use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use artifact::{ProposalId, Timestamp};
use axum::http::request::Parts;
use doors::Refusal;
use doors::agents::{Check, OwnTool, Principal, ProposalAnswer, Propose, RefusalAnswer, Status};
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CompleteRequestParams,
    CompleteResult, CreateTaskResult, CustomRequest, CustomResult, DiscoverResult, ErrorCode, ErrorData, GetTaskParams,
    GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ServerCapabilities,
    ServerConfig, Tool as Described, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::tasks::TaskName;
use super::tools::{INSTRUCTIONS, Tool};
use super::{METHODS, ask, own};
use crate::surface::{GET_WAIT_S, PROPOSE_WAIT_S, Surface, malformed, rests, wait};
use crate::{Door, IntakeConfig, Refused};

/// The revisions that are tested: one without sessions, two that begin with `initialize`.
const VERSIONS: &[ProtocolVersion] =
    &[ProtocolVersion::V_2025_06_18, ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28];
/// How long a client may keep the list of tools, in milliseconds. It changes with the gateway's version only.
const TOOLS_TTL_MS: u64 = 60 * 60 * 1000;
/// The same where tools of another server are among them.
const OWN_TTL_MS: u64 = 60 * 1000;
/// JSON-RPC code of a refusal where no tool result can carry it; outside the ranges that JSON-RPC and MCP keep for themselves.
const REFUSED: ErrorCode = ErrorCode(1);
/// The agents' side of MCP.
#[derive(Clone)]
pub(super) struct Agents<D> {
    surface: Surface<D>,
    tools: Arc<[Described]>,
    task_after: Duration,
    progress_every: Duration,
    elicit_urls: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetProposal {
    proposal_id: String,
    wait_s: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedProposal {
    proposal_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedTarget {
    target: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<D: Door> Agents<D> {
    pub(super) fn new(surface: Surface<D>, config: &IntakeConfig) -> Self {
        Self {
            surface,
            tools: Tool::ALL.map(Tool::describe).into(),
            task_after: config.task_after,
            progress_every: config.progress_every,
            elicit_urls: config.elicit_urls,
        }
    }

    async fn call(
        &self,
        tool: Tool,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Refused> {
        let asked_before = request.input_responses.is_some() || request.request_state.is_some();
        let arguments = request.arguments.unwrap_or_default();
        let who = principal(context)?;
        let result = match tool {
            Tool::Check => result(&self.surface.check(who, parse::<Check>(arguments)?).await?, false),
            Tool::Propose => return self.propose(who, parse(arguments)?, asked_before, context).await,
            Tool::GetProposal => {
                let asked: GetProposal = parse(arguments)?;
                let time = wait(asked.wait_s, GET_WAIT_S)?;
                let answer = self.surface.get(who, proposal(&asked.proposal_id)?).await?;
                let first = answer.status;
                result(&self.follow(who, answer, first, time, context).await, false)
            }
            Tool::Withdraw => {
                let named: NamedProposal = parse(arguments)?;
                result(&self.surface.withdraw(who, proposal(&named.proposal_id)?).await?, false)
            }
            Tool::ListProposals => {
                let Nothing {} = parse(arguments)?;
                result(&Map::from_iter([("proposals".to_owned(), json(&self.surface.list(who).await?))]), false)
            }
            Tool::ListTargets => {
                let Nothing {} = parse(arguments)?;
                result(&Map::from_iter([("targets".to_owned(), json(&self.surface.targets(who).await?))]), false)
            }
            Tool::DescribeTarget => {
                let named: NamedTarget = parse(arguments)?;
                result(&self.surface.describe(who, &named.target).await?, false)
            }
        };
        Ok(result.into())
    }

    /// The tool of a target that is called by this name.
    async fn own(&self, name: &str, context: &RequestContext<RoleServer>) -> Option<OwnTool> {
        if !name.contains("__") {
            return None;
        }
        let all = self.surface.tools(principal(context).ok()?).await.ok()??;
        all.into_iter().find(|own| own::name(own).as_deref() == Some(name))
    }

    async fn call_own(
        &self,
        own: &OwnTool,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Refused> {
        let asked_before = request.input_responses.is_some() || request.request_state.is_some();
        let proposal = own::proposal(own, request.arguments.unwrap_or_default())?;
        self.propose(principal(context)?, proposal, asked_before, context).await
    }

    async fn propose(
        &self,
        who: &Principal,
        propose: Propose,
        asked_before: bool,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Refused> {
        let time = wait(propose.wait_s, PROPOSE_WAIT_S)?;
        let tasks = context.client_capabilities().is_some_and(|client| client.supports_tasks());
        let answer = self.surface.propose(who, propose).await?;
        let first = answer.status;
        if self.elicit_urls && !asked_before && first == Status::Pending && ask::can_open(context) {
            return Ok(CallToolResponse::InputRequired(ask::open(&answer)));
        }
        let time = if tasks { time.min(self.task_after) } else { time };
        let answer = self.follow(who, answer, first, time, context).await;
        if tasks && !answer.status.is_final() {
            let now = Timestamp::now();
            let task = TaskName::new(answer.proposal_id, now).task(&answer, now);
            return Ok(CallToolResponse::Task(CreateTaskResult::new(task)));
        }
        Ok(proposed(&answer).into())
    }

    /// Waits as [`Surface::follow`] does, says so now and then, and stops when nobody listens any more.
    async fn follow(
        &self,
        who: &Principal,
        mut answer: ProposalAnswer,
        first: Status,
        time: Duration,
        context: &RequestContext<RoleServer>,
    ) -> ProposalAnswer {
        let (begin, token) = (Instant::now(), context.meta.get_progress_token());
        while !rests(first, answer.status) {
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() {
                break;
            }
            let slice = if token.is_some() { left.min(self.progress_every) } else { left };
            let (known, asked) = (answer.clone(), Instant::now());
            answer = tokio::select! {
                answer = self.surface.follow(who, answer, first, slice) => answer,
                () = context.ct.cancelled() => return known,
            };
            if asked.elapsed() < slice {
                // Whoever stands behind the door stopped waiting early; asking again at once would only spin.
                break;
            }
            if let Some(token) = token.clone().filter(|_| !rests(first, answer.status)) {
                let (done, total) = (begin.elapsed().as_secs_f64(), time.as_secs_f64());
                let progress = ProgressNotificationParam::new(token, done.min(total)).with_total(total);
                let message = format!("{} is {}", answer.proposal_id, answer.status.as_str());
                if context.peer.notify_progress(progress.with_message(message)).await.is_err() {
                    break;
                }
            }
        }
        answer
    }

    async fn task(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(TaskName, ProposalAnswer), ErrorData> {
        let name = TaskName::parse(id).ok_or_else(unknown_task)?;
        let who = principal(context).map_err(protocol_error)?;
        let answer = self.surface.get(who, name.proposal).await.map_err(protocol_error)?;
        Ok((name, answer))
    }
}

impl<D: Door> ServerHandler for Agents<D> {
    fn get_info(&self) -> ServerConfig {
        let implementation = Implementation::new("wetink", env!("CARGO_PKG_VERSION")).with_title("Wetink");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tasks().build())
            .with_server_info(implementation)
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(VERSIONS)
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        Ok(DiscoverResult::from_server_info(VERSIONS.to_vec(), self.get_info())
            .with_ttl_ms(TOOLS_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = self.tools.to_vec();
        let mut ttl = TOOLS_TTL_MS;
        if let Ok(who) = principal(&context) {
            // A server that does not answer takes nothing of ours away.
            let own = self.surface.tools(who).await.unwrap_or_else(|_| Some(Vec::new()));
            if let Some(own) = own {
                tools.extend(own.iter().filter_map(own::describe));
                ttl = OWN_TTL_MS;
            }
        }
        Ok(ListToolsResult::with_all_items(tools).with_ttl_ms(ttl).with_cache_scope(CacheScope::Private))
    }

    fn get_tool(&self, name: &str) -> Option<Described> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (name, called) = match Tool::named(&request.name) {
            Some(tool) => (tool.name(), self.call(tool, request, &context).await),
            None => match self.own(&request.name, &context).await {
                Some(own) => ("own", self.call_own(&own, request, &context).await),
                None => return Err(ErrorData::invalid_params("no tool has this name; tools/list names them", None)),
            },
        };
        Ok(called.unwrap_or_else(|refused| {
            tracing::info!(tool = name, refused = refused.refusal.code(), "agent call refused");
            result(&RefusalAnswer::from(refused), true).into()
        }))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let (name, answer) = self.task(&request.task_id, &context).await?;
        Ok(GetTaskResult::new(name.detailed(&answer, proposed(&answer), Timestamp::now())))
    }

    /// No task here ever asks its client for input, so there is nothing an answer could belong to.
    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.task(&request.task_id, &context).await?;
        if request.input_responses.is_empty() {
            Ok(())
        } else {
            Err(ErrorData::invalid_params("this task asked for no input", None))
        }
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let (name, answer) = self.task(&request.task_id, &context).await?;
        if answer.status != Status::Pending {
            return Ok(());
        }
        let who = principal(&context).map_err(protocol_error)?;
        match self.surface.withdraw(who, name.proposal).await {
            // Signed in the meantime: cancelling is a wish, and the task goes on.
            Ok(_) | Err(Refused { refusal: Refusal::WrongState, .. }) => Ok(()),
            Err(refused) => Err(protocol_error(refused)),
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // Under a known name, only what the library could not read arrives here. `initialize` is known to older revisions.
        let modern = context.meta.protocol_version().is_some();
        if METHODS.contains(&request.method.as_str()) && !(modern && request.method == "initialize") {
            return Err(ErrorData::invalid_params("the parameters do not fit this method", None));
        }
        Err(method_not_found())
    }

    // Not offered, so not answered: an empty list would say that there could be something.
    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(method_not_found())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(method_not_found())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(method_not_found())
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(method_not_found())
    }
}

/// The gate put it among the request's extensions; without it nothing is answered.
fn principal(context: &RequestContext<RoleServer>) -> Result<&Principal, Refused> {
    let parts = context.extensions.get::<Parts>();
    parts.and_then(|parts| parts.extensions.get::<Principal>()).ok_or_else(|| Refusal::NotAuthenticated.into())
}

fn parse<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Refused> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| malformed(&error))
}

/// An id that cannot exist gets the same answer as one that does not.
fn proposal(id: &str) -> Result<ProposalId, Refused> {
    id.parse().map_err(|_| Refusal::UnknownProposal.into())
}

/// The answer to `propose`: an error for the model once it is certain that it will not get what it asked for.
fn proposed(answer: &ProposalAnswer) -> CallToolResult {
    let done = !answer.status.is_final() || answer.status == Status::Released;
    result(answer, !done)
}

fn result(answer: &impl Serialize, is_error: bool) -> CallToolResult {
    let answer = json(answer);
    if is_error { CallToolResult::structured_error(answer) } else { CallToolResult::structured(answer) }
}

fn json(answer: &impl Serialize) -> Value {
    // Own types with text keys only; there is nothing in them that cannot be written.
    serde_json::to_value(answer).unwrap_or_default()
}

fn unknown_task() -> ErrorData {
    ErrorData::invalid_params("no task has this id", None)
}

fn protocol_error(refused: Refused) -> ErrorData {
    if refused.refusal == Refusal::UnknownProposal {
        return unknown_task();
    }
    let answer = RefusalAnswer::from(refused);
    ErrorData::new(REFUSED, answer.message.clone(), Some(json(&answer)))
}

fn method_not_found() -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "this gateway offers tools and tasks only", None)
}
