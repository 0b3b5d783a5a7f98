//! What a request pays, and what of that a person should look at twice.

use analyze::{Analysis, Code, Finding, mail};
use artifact::effect::Verb;
use artifact::money::Payment;
use artifact::{Artifact, visible};
use reading::request;

use crate::Setting;

/// Puts the payment into the effect, as the registration says where it stands. What pays and does not say whom and how much beyond
/// doubt is not understood.
pub(crate) fn payment(setting: &Setting<'_>, artifact: &Artifact, analysis: &mut Analysis) {
    let Some(sent) = &mut analysis.effect.request else { return };
    let Ok(request) = request::read(artifact.text()) else { return };
    let mut found = Vec::new();
    match reading::payment::payment(setting.forms, &request) {
        Ok(None) => return,
        Ok(Some(payment)) => {
            found = people(&payment, setting.paid);
            sent.payment = Some(payment);
            if analysis.understood {
                analysis.sentence = analyze::headline(analysis, None).replacen("PAYS", "Pays", 1);
            }
        }
        Err(error) => {
            analysis.understood = false;
            analysis.effect.verb = Verb::Define;
            let sentence = format!("It moves money, and {error}.");
            analysis.sentence = format!("NOT UNDERSTOOD: {sentence}");
            found.push((Code::PaymentUnclear, sentence));
        }
    }
    let finding = |(code, sentence): (Code, String)| Finding { code, severity: code.severity(), span: None, sentence };
    analysis.findings.extend(found.into_iter().map(finding));
    analysis.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}

/// Whether the account and the name were paid before, or only look like it.
fn people(payment: &Payment, paid: &[(String, String)]) -> Vec<(Code, String)> {
    let mut found = Vec::new();
    let account = payment.account_key();
    if paid.iter().any(|(_, known)| *known == account) {
        return found;
    }
    let (name, shown) = (payment.payee.to_lowercase(), visible(&payment.payee));
    let same = |(known, _): &&(String, String)| !name.is_empty() && known.to_lowercase() == name;
    if let Some((_, before)) = paid.iter().find(same) {
        let sentence = format!("{shown} was paid before, at another account: {}.", visible(before));
        found.push((Code::ChangedAccount, sentence));
    } else {
        let known: Vec<String> = paid.iter().map(|(known, _)| known.to_lowercase()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        if let Some(like) = mail::resembling(&name, &known) {
            found.push((Code::LookalikePayee, format!("{shown} looks like {}, and is not.", visible(like))));
        }
    }
    let sentence = format!("Nothing was paid to the account {} from here before.", visible(&payment.account));
    found.push((Code::NewPayee, sentence));
    found
}
