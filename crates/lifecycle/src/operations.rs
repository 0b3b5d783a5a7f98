//! What a GraphQL request asks of its service.

use analyze::{Analysis, Code, Finding};
use artifact::Artifact;
use artifact::effect::Verb;
use reading::{graphql, request};

use crate::Setting;

/// Puts the operation into the effect, where the registration says that the path takes GraphQL. A query counts as a read there. What is no
/// single operation is not understood.
pub(crate) fn operation(setting: &Setting<'_>, artifact: &Artifact, analysis: &mut Analysis) {
    let Some(sent) = &mut analysis.effect.request else { return };
    let Ok(request) = request::read(artifact.text()) else { return };
    match graphql::operation(setting.graphql, &request) {
        Ok(None) => {}
        Ok(Some(operation)) => {
            sent.operation = Some(operation);
            analysis.effect.verb = sent.verb().unwrap_or(Verb::Define);
            analysis.effect.commits_itself = analysis.effect.verb != Verb::Read;
            if analysis.understood {
                let headline = analyze::headline(analysis, None);
                analysis.sentence = headline.replacen("ASKS", "Asks", 1).replacen("SENDS", "Sends", 1);
            }
        }
        Err(error) => {
            analysis.understood = false;
            analysis.effect.verb = Verb::Define;
            let sentence = format!("The path takes GraphQL, and {error}.");
            analysis.sentence = format!("NOT UNDERSTOOD: {sentence}");
            let code = Code::OperationUnclear;
            analysis.findings.insert(0, Finding { code, severity: code.severity(), span: None, sentence });
        }
    }
}
