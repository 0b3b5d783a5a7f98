//! Approval statement, signatures, quorum: Approved, then Warrant
