//! A call of a tool of an MCP server. What the tool does, only the server knows; so the call itself is the effect, held against
//! what the server says about the tool: its schema, its own hints, its words.

use artifact::catalog::{Catalog, Tool};
use artifact::effect::{RequestUse, Verb};
use artifact::visible;
use reading::request;
use serde_json::{Map, Value as Json};

use crate::draft::{Draft, quoted};
use crate::http::{deepest, doubled};
use crate::schema::contradictions;
use crate::{Code, MAX_NESTING};

/// Characters of a description that are shown.
const DESCRIPTION_SHOWN: usize = 300;

pub(crate) fn analyze_into(text: &str, catalog: &Catalog, draft: &mut Draft) {
    let malformed = |error: String| format!("It is no call of the gateway's form: {error}.");
    let call = match request::read(text) {
        Ok(call) if call.method.kind() == artifact::Kind::Mcp => call,
        Ok(_) => {
            let sentence = malformed("a tool is called by CALL or ASK".to_owned());
            return draft.note(Code::RequestMalformed, None, sentence);
        }
        Err(error) => return draft.note(Code::RequestMalformed, None, malformed(error.to_string())),
    };
    draft.statements = 1;
    let name = call.path.trim_start_matches('/');
    let arguments = arguments(call.body, draft);
    draft.effect.verb = call.method.verb();
    draft.effect.commits_itself = call.method.verb() != Verb::Read;
    draft.effect.request = Some(RequestUse {
        method: call.method.as_str().to_owned(),
        path: call.path.to_owned(),
        query: Vec::new(),
        body: arguments.keys().cloned().collect(),
        recipients: Vec::new(),
        payment: None,
        operation: None,
    });
    let Some(tool) = catalog.tool(name) else {
        let sentence = format!("The server has no tool {}.", quoted(name));
        return draft.note(Code::UnknownTool, None, sentence);
    };
    fits(&arguments, tool, draft);
    hints(call.method.verb(), tool, draft);
}

fn arguments(body: &str, draft: &mut Draft) -> Map<String, Json> {
    if body.is_empty() {
        return Map::new();
    }
    if deepest(body) > MAX_NESTING {
        draft.note(Code::NestedTooDeep, None, format!("Brackets are nested deeper than {MAX_NESTING}."));
        return Map::new();
    }
    let Ok(Json::Object(arguments)) = serde_json::from_str(body) else {
        draft.note(Code::RequestMalformed, None, "The arguments are no JSON object.");
        return Map::new();
    };
    if let Some(name) = doubled(body) {
        draft.note(Code::RequestMalformed, None, format!("The argument {} stands there twice.", quoted(&name)));
    }
    arguments
}

/// What contradicts the tool's schema, nobody may sign.
fn fits(arguments: &Map<String, Json>, tool: &Tool, draft: &mut Draft) {
    let schema: Json = serde_json::from_str(&tool.input_schema).unwrap_or_default();
    for sentence in contradictions(arguments, &schema, &quoted(&tool.name), "argument") {
        draft.note(Code::ToolArguments, None, sentence);
    }
}

/// What the server says about the tool counts against a call, never for it.
fn hints(verb: Verb, tool: &Tool, draft: &mut Draft) {
    let name = quoted(&tool.name);
    if verb == Verb::Read && tool.reads_only != Some(true) {
        let sentence = format!("{name} is registered as one that only reads; its server does not say so.");
        draft.note(Code::ToolMayWrite, None, sentence);
    }
    if verb != Verb::Read && tool.destroys == Some(true) && tool.reads_only != Some(true) {
        draft.note(Code::ToolDestroys, None, format!("The server says of {name} that it may destroy."));
    }
    let mut words: String = tool.description.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(DESCRIPTION_SHOWN) {
        words.truncate(at);
        words += " ...";
    }
    if !words.is_empty() {
        draft.note(Code::ToolSays, None, format!("The server says about {name}: \u{201c}{}\u{201d}", visible(&words)));
    }
}

#[cfg(test)]
mod tests {
    use artifact::{Artifact, Digest, Kind};

    use super::*;
    use crate::{Analysis, analyze, headline};

    fn of(text: &str) -> Analysis {
        let schema = r#"{"type":"object","properties":{"title":{"type":"string"},"n":{"type":["integer","null"]},"state":{"enum":["open","done"]}},"required":["title"],"additionalProperties":false}"#;
        let tool = |name: &str, reads_only, destroys| Tool {
            name: name.into(),
            description: "Makes an\nissue.\u{202e}".into(),
            input_schema: schema.into(),
            reads_only,
            destroys,
            digest: Digest::of(name.as_bytes()),
        };
        let tools =
            vec![tool("create", None, Some(true)), tool("list", Some(true), None), tool("sly", Some(false), None)];
        let catalog = Catalog { tools, ..Catalog::default() };
        analyze(&Artifact::new(Kind::Mcp, text.as_bytes().to_vec()).unwrap(), &catalog)
    }

    #[test]
    fn a_call_is_its_own_effect() {
        let call = of("CALL /create\n\n{\"title\": \"x\", \"n\": 1}");
        assert!(call.understood && call.has(Code::ToolDestroys), "{:?}", call.findings);
        let used = call.effect.request.clone().unwrap();
        assert_eq!((used.method.as_str(), used.path.as_str()), ("CALL", "/create"));
        assert_eq!(used.body, ["n", "title"]);
        assert!(call.effect.is_of(Kind::Mcp) && !call.effect.is_of(Kind::Http) && !call.effect.is_read_only());
        assert_eq!(headline(&call, None), "CALLS the tool create");
        let says = call.findings.iter().find(|f| f.code == Code::ToolSays).unwrap();
        assert!(says.sentence.contains("Makes an issue.") && !says.sentence.contains('\u{202e}'), "{}", says.sentence);
        let ask = of("ASK /list\n\n{\"title\":\"x\"}");
        assert!(ask.understood && ask.effect.is_read_only() && !ask.has(Code::ToolMayWrite), "{:?}", ask.findings);
        assert!(of("ASK /sly\n\n{\"title\":\"x\"}").has(Code::ToolMayWrite));
    }

    #[test]
    fn what_does_not_fit_cannot_be_signed() {
        for bad in [
            "CALL /none\n\n{}",
            "CALL /create\n\n{}",
            "CALL /create",
            "CALL /create\n\n[]",
            "CALL /create\n\n{\"title\":1}",
            "CALL /create\n\n{\"title\":\"x\",\"n\":1.5}",
            "CALL /create\n\n{\"title\":\"x\",\"state\":\"gone\"}",
            "CALL /create\n\n{\"title\":\"x\",\"more\":1}",
            "CALL /create\n\n{\"title\":\"x\",\"title\":\"y\"}",
            "CALL /create\n\n{\"title\":\"x\",\"n\":{\"a\":1,\"a\":2}}",
            "CALL /create\n\n{\"title\":\"x\"} {}",
            "POST /create\n\n{\"title\":\"x\"}",
            "CALL /create\ncontent-type: application/json\n\n{\"title\":\"x\"}",
            "SELECT 1",
        ] {
            let analysis = of(bad);
            assert!(!analysis.understood && analysis.effect.verb == Verb::Define, "{bad}: {:?}", analysis.findings);
        }
        assert!(of("CALL /create\n\n{\"title\":\"masked_0123456789ab\"}").has(Code::MaskedValue));
    }
}
