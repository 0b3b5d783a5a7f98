//! What the MCP conformance suite calls by name: tools, prompts and resources that answer fixed texts, put in front of the
//! product's own handler, on the same routes and with the same store behind it. Built with the feature `conformance` only;
//! nothing of this is in a gateway.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use artifact::Digest;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CompleteRequestParams,
    CompleteResult, CustomRequest, CustomResult, DiscoverResult, ErrorCode, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult, InputRequest, InputRequiredResult,
    InputResponses, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ServerCapabilities, ServerConfig, Tool as Described, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::handler::Agents;
use crate::Door;

/// A PNG of one red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A WAV without a sample.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";
const TTL_MS: u64 = 60_000;

/// The product's handler with the suite's fixtures before it.
#[derive(Clone)]
pub(super) struct Fixtures<D>(pub(super) Agents<D>);

/// Fixture tools whose answer is fixed.
fn fixed(name: &str) -> Option<Value> {
    let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
    let resource = |uri: &str, mime: &str, text: &str| json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": text}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let content = match name {
        "test_simple_text" => vec![text("This is a simple text response for testing.")],
        "test_image_content" => vec![image],
        "test_audio_content" => vec![json!({"type": "audio", "data": WAV, "mimeType": "audio/wav"})],
        "test_embedded_resource" => {
            vec![resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => vec![
            text("Multiple content types test:"),
            image,
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ],
        "test_error_handling" => {
            let content = vec![text("This tool intentionally returns an error for testing")];
            return Some(json!({"content": content, "isError": true}));
        }
        "test_custom_header" | "test_logging_tool" | "test_missing_capability" | "json_schema_2020_12_tool" => {
            vec![text("ok")]
        }
        _ => return None,
    };
    Some(json!({ "content": content }))
}

const PLAIN: [&str; 11] = [
    "test_logging_tool",
    "test_missing_capability",
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_custom_header",
    "json_schema_2020_12_tool",
];

/// What a fixture asks its client for: one list of questions a round.
fn rounds(name: &str) -> Option<Vec<Value>> {
    let ask = |message: &str, field: &str, kind: &str| {
        let schema = json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
        json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
    };
    let sample = |text: &str, tokens: u32| {
        let messages = json!([{"role": "user", "content": {"type": "text", "text": text}}]);
        json!({"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": tokens}})
    };
    let roots = json!({"method": "roots/list", "params": {}});
    if name == "test_streaming_elicitation" {
        return Some(vec![json!({"user_name": ask("What is your name?", "name", "string")})]);
    }
    Some(match name.strip_prefix("test_input_required_result_")? {
        "elicitation" => vec![json!({"user_name": ask("What is your name?", "name", "string")})],
        "sampling" => vec![json!({"capital_question": sample("What is the capital of France?", 100)})],
        "list_roots" => vec![json!({ "client_roots": roots })],
        "request_state" | "tampered_state" => vec![json!({"confirm": ask("Please confirm", "ok", "boolean")})],
        "multiple_inputs" => vec![json!({
            "user_name": ask("What is your name?", "name", "string"),
            "greeting": sample("Generate a greeting", 50),
            "client_roots": roots,
        })],
        "multi_round" => vec![
            json!({"step1": ask("Step 1: What is your name?", "name", "string")}),
            json!({"step2": ask("Step 2: What is your favorite color?", "color", "string")}),
        ],
        "capabilities" => vec![json!({
            "user_name": ask("What is your name?", "name", "string"),
            "greeting": sample("Generate a greeting", 50),
        })],
        "prompt" => vec![json!({"user_context": ask("What context should the prompt use?", "context", "string")})],
        _ => return None,
    })
}

const ASKING: [&str; 9] = [
    "test_streaming_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_tampered_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_capabilities",
];

/// The state of a round, which only this process could have written. Nothing hangs on it but the suite's own checks.
fn seal(name: &str, round: usize) -> String {
    let tag = Digest::of(format!("conformance fixture {name} {round} {}", std::process::id()).as_bytes());
    format!("{round}.{tag}")
}

fn unseal(name: &str, state: &str) -> Result<usize, ErrorData> {
    let round = state.split('.').next().and_then(|round| round.parse().ok());
    round
        .filter(|round| seal(name, *round) == state)
        .ok_or_else(|| ErrorData::invalid_params("the request state was changed", None))
}

/// Either the questions of the round that comes next, or the answers once every round was answered.
fn converse(
    name: &str,
    responses: Option<&InputResponses>,
    state: Option<&str>,
    context: &RequestContext<RoleServer>,
) -> Result<Result<InputRequiredResult, String>, ErrorData> {
    let rounds = rounds(name).unwrap_or_default();
    let at = state.map_or(Ok(0), |state| unseal(name, state))?;
    let questions = |round: usize| -> Result<InputRequiredResult, ErrorData> {
        let mut wanted: BTreeMap<String, InputRequest> = read(rounds.get(round).cloned().unwrap_or_default())?;
        let client = context.client_capabilities().unwrap_or_default();
        wanted.retain(|_, request| match request {
            InputRequest::CreateMessage(_) => client.sampling.is_some(),
            InputRequest::Elicitation(_) => client.elicitation.is_some(),
            _ => client.roots.is_some(),
        });
        Ok(InputRequiredResult::new(Some(wanted), Some(seal(name, round))))
    };
    let Some(responses) = responses else { return questions(at).map(Ok) };
    let expected = questions(at)?.input_requests.unwrap_or_default();
    // Whatever is no object answers no question, so it is asked again.
    if expected.keys().any(|key| !responses.get(key).is_some_and(Value::is_object)) {
        return questions(at).map(Ok);
    }
    if at + 1 < rounds.len() {
        return questions(at + 1).map(Ok);
    }
    Ok(Err(format!("state-ok Hello, {}!", json!(responses))))
}

fn described(name: &'static str) -> Result<Described, ErrorData> {
    let schema = match name {
        "json_schema_2020_12_tool" => json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "$defs": {"address": {"$anchor": "addressDef", "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
            "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"}, "email": {"type": "string"}},
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]}, "else": {"required": ["email"]}, "additionalProperties": false,
        }),
        "test_custom_header" => json!({
            "type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        }),
        _ => json!({"type": "object", "properties": {}}),
    };
    read(json!({"name": name, "description": format!("Fixture {name}"), "inputSchema": schema}))
}

/// A result that is complete, read into the library's form.
fn answer<T: DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = json!("complete");
    read(value)
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// Three steps with progress, if the caller gave a token.
async fn progress(context: &RequestContext<RoleServer>) -> Result<Value, ErrorData> {
    for step in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let step = ProgressNotificationParam::new(token, step).with_total(100.0);
            context
                .peer
                .notify_progress(step)
                .await
                .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(json!({"content": [{"type": "text", "text": "done"}]}))
}

impl<D: Door> ServerHandler for Fixtures<D> {
    fn get_info(&self) -> ServerConfig {
        let offered = ServerCapabilities::builder()
            .enable_tools()
            .enable_tasks()
            .enable_prompts()
            .enable_resources()
            .enable_completions();
        let mut info = self.0.get_info();
        info.capabilities = offered.build();
        info
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.0.supported_protocol_versions()
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), self.get_info())
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut listed = self.0.list_tools(page, context).await?;
        for name in PLAIN.into_iter().chain(ASKING) {
            listed.tools.push(described(name)?);
        }
        Ok(listed)
    }

    fn get_tool(&self, name: &str) -> Option<Described> {
        let fixture = PLAIN.into_iter().chain(ASKING).find(|fixture| *fixture == name);
        fixture.map_or_else(|| self.0.get_tool(name), |name| described(name).ok())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = context.client_capabilities().unwrap_or_default();
        if request.name == "test_missing_capability" && client.sampling.is_none() {
            let missing = json!({"requiredCapabilities": {"sampling": {}}});
            return Err(ErrorData::new(ErrorCode(-32021), "this tool needs sampling", Some(missing)));
        }
        if request.name == "test_tool_with_progress" {
            return Ok(answer::<CallToolResult>(progress(&context).await?)?.into());
        }
        if let Some(result) = fixed(&request.name) {
            return Ok(answer::<CallToolResult>(result)?.into());
        }
        if !ASKING.contains(&request.name.as_ref()) {
            return self.0.call_tool(request, context).await;
        }
        let state = request.request_state.as_deref();
        Ok(match converse(&request.name, request.input_responses.as_ref(), state, &context)? {
            Ok(questions) => CallToolResponse::InputRequired(questions),
            Err(said) => answer::<CallToolResult>(json!({"content": [{"type": "text", "text": said}]}))?.into(),
        })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let argument = |name: &str| -> String {
            let given = request.arguments.as_ref().and_then(|a| a.get(name)).and_then(Value::as_str);
            given.unwrap_or_default().to_owned()
        };
        let user = |content: Value| json!({"role": "user", "content": content});
        let text = |text: &str| user(json!({"type": "text", "text": text}));
        let messages = match request.name.as_str() {
            "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
            "test_prompt_with_arguments" => {
                vec![text(&format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2")))]
            }
            "test_prompt_with_embedded_resource" => {
                let resource = json!({"uri": argument("resourceUri"), "mimeType": "text/plain",
                    "text": "Embedded resource content for testing."});
                let embedded = user(json!({"type": "resource", "resource": resource}));
                vec![embedded, text("Please process the embedded resource above.")]
            }
            "test_prompt_with_image" => {
                let image = user(json!({"type": "image", "data": PNG, "mimeType": "image/png"}));
                vec![image, text("Please analyze the image above.")]
            }
            "test_input_required_result_prompt" => {
                let state = request.request_state.as_deref();
                match converse(&request.name, request.input_responses.as_ref(), state, &context)? {
                    Ok(questions) => return Ok(GetPromptResponse::InputRequired(questions)),
                    Err(said) => vec![text(&said)],
                }
            }
            _ => return Err(ErrorData::invalid_params("no prompt has this name", None)),
        };
        Ok(GetPromptResponse::Complete(answer::<GetPromptResult>(json!({ "messages": messages }))?))
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let argument = |name: &str| json!({"name": name, "description": name, "required": true});
        let prompt =
            |name: &str, arguments: Vec<Value>| json!({"name": name, "description": name, "arguments": arguments});
        let prompts = json!([
            prompt("test_simple_prompt", vec![]),
            prompt("test_prompt_with_arguments", vec![argument("arg1"), argument("arg2")]),
            prompt("test_prompt_with_embedded_resource", vec![argument("resourceUri")]),
            prompt("test_prompt_with_image", vec![]),
            prompt("test_input_required_result_prompt", vec![]),
        ]);
        answer(json!({"prompts": prompts, "ttlMs": TTL_MS, "cacheScope": "private"}))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resource =
            |uri: &str, mime: &str| json!({"uri": uri, "name": uri, "description": "Fixture", "mimeType": mime});
        let resources = [resource("test://static-text", "text/plain"), resource("test://static-binary", "image/png")];
        answer(json!({"resources": resources, "ttlMs": TTL_MS, "cacheScope": "private"}))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = json!({"uriTemplate": "test://template/{id}/data", "name": "template",
            "description": "Fixture", "mimeType": "application/json"});
        answer(json!({"resourceTemplates": [template], "ttlMs": TTL_MS, "cacheScope": "private"}))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let content = match (uri, id) {
            ("test://static-text", _) => {
                json!({"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."})
            }
            ("test://static-binary", _) => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
            (_, Some(id)) => {
                let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string();
                json!({"uri": uri, "mimeType": "application/json", "text": text})
            }
            _ => return Err(ErrorData::invalid_params("Resource not found", Some(json!({ "uri": uri })))),
        };
        let result = json!({"contents": [content], "ttlMs": TTL_MS, "cacheScope": "private"});
        Ok(ReadResourceResponse::Complete(answer::<ReadResourceResult>(result)?))
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        answer(json!({"completion": {"values": ["paris", "park", "party"], "total": 3, "hasMore": false}}))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.0.get_task(request, context).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.update_task(request, context).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.cancel_task(request, context).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.0.on_custom_request(request, context).await
    }
}
