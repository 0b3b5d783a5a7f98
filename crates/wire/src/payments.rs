//! What a service takes as payments, and their limits: part of a target's registration.

use artifact::Effect;
use artifact::money::{Money, Payment, PaymentForm};
use serde::{Deserialize, Serialize};

/// Most forms, and most amounts of one limit.
const MOST: usize = 20;

/// Payments at a target. The guard and the executor hold every run against it, whatever policy or desk say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payments {
    /// Requests that are payments, and where they say amount and payee.
    #[serde(default)]
    pub forms: Vec<PaymentForm>,
    /// Two people sign a payment above this; one amount for each currency. A currency that is not named counts as above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub two_people_above: Vec<Money>,
    /// Two people sign the first payment to an account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub two_people_for_new_accounts: bool,
    /// Most in one day (UTC). A currency that is not named cannot be paid then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_day: Vec<Money>,
    /// Most in one month (UTC).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_month: Vec<Money>,
    /// Most to one account in one day (UTC).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_account_and_day: Vec<Money>,
}

impl Payments {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The limits with what each is called.
    fn limits(&self) -> [&Vec<Money>; 4] {
        [&self.two_people_above, &self.per_day, &self.per_month, &self.per_account_and_day]
    }

    /// Whether it can be used: forms that can be read, each limit with one amount a currency.
    pub fn is_usable(&self) -> bool {
        let once = |amounts: &Vec<Money>| {
            let other = |at: usize| amounts[at + 1..].iter().any(|one| one.currency == amounts[at].currency);
            amounts.len() <= MOST && !(0..amounts.len()).any(other)
        };
        let limited = self.two_people_for_new_accounts || self.limits().iter().any(|amounts| !amounts.is_empty());
        // A limit without a form would limit nothing.
        self.forms.len() <= MOST
            && self.forms.iter().all(PaymentForm::is_usable)
            && self.limits().into_iter().all(once)
            && !(limited && self.forms.is_empty())
    }

    /// How many different people sign this effect, at least. `known`: something was paid to the account from here before.
    pub fn quorum(&self, effect: &Effect, known: impl FnOnce(&Payment) -> bool) -> u32 {
        let Some(payment) = effect.request.as_ref().and_then(|request| request.payment.as_ref()) else { return 1 };
        let amount = &payment.amount;
        let within = |most: &Money| most.currency == amount.currency && amount.units <= most.units;
        let above = !self.two_people_above.is_empty() && !self.two_people_above.iter().any(within);
        if above || (self.two_people_for_new_accounts && !known(payment)) { 2 } else { 1 }
    }
}
