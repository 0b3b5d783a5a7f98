//! The guard's durable side: log, contents, spent approvals
