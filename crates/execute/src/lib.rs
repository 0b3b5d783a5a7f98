//! The executor: one order and one credential to one report, locked to the signed effect
