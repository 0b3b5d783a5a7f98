fn twice<L: approve::SpendLedger>(approved: approve::Approved, ledger: &mut L) {
    let _ = approved.redeem(ledger);
    let _ = approved.redeem(ledger);
}
fn main() {}
