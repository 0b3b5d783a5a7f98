//! What a payment needs besides its signatures: further people, and room in every budget that it counts against.

use artifact::effect::Allowance;
use artifact::money::{Money, Payment};
use artifact::{Effect, TaskId, Timestamp};
use ledger::Budget;
use wire::target::Registration;

/// The counter that says whether anything was paid to the account from this target.
pub(crate) fn account_key(target: &Registration, payment: &Payment) -> String {
    format!("account {} {}", target.name, payment.account_key())
}

/// Counters that the payment adds to. They are spent with the signature, whatever becomes of the request, and never fall again.
///
/// Errors: a budget is set and has no amount in this currency.
pub(crate) fn budgets(
    target: &Registration,
    (task, may): (TaskId, &[Allowance]),
    effect: &Effect,
    now: Timestamp,
) -> Result<Vec<Budget>, String> {
    let Some((sent, payment)) = effect.request.as_ref().and_then(|sent| Some((sent, sent.payment.as_ref()?))) else {
        return Ok(Vec::new());
    };
    let Money { currency, units } = &payment.amount;
    let at = now.to_string();
    let (day, month) = (&at[..10], &at[..7]);
    let (name, account) = (&target.name, payment.account_key());
    let mut found = vec![Budget { key: account_key(target, payment), add: *units, most: u64::MAX }];
    let limits = &target.payments;
    for (key, amounts) in [
        (format!("day {name} {day}"), &limits.per_day),
        (format!("month {name} {month}"), &limits.per_month),
        (format!("account-day {name} {day} {account}"), &limits.per_account_and_day),
    ] {
        match amounts.iter().find(|most| most.currency == *currency) {
            Some(most) => found.push(Budget { key: format!("{key} {currency}"), add: *units, most: most.units }),
            None if amounts.is_empty() => {}
            None => return Err(format!("the target has budgets, and none for {currency}")),
        }
    }
    // What lies outside the task's scope was signed as such; the target's own budgets hold all the same.
    let within: Vec<Option<&Money>> =
        may.iter().filter(|line| line.covers_request(sent)).map(|line| line.up_to.as_ref()).collect();
    if let Some(most) = within.iter().flatten().map(|most| most.units).max().filter(|_| !within.contains(&None)) {
        found.push(Budget { key: format!("task {task} {currency}"), add: *units, most });
    }
    Ok(found)
}
