//! The trusted process: verifies, spends, orders, seals, logs
