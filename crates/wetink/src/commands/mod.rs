//! One file a noun.

pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod canary;
pub(crate) mod certificate;
pub(crate) mod connect;
pub(crate) mod doctor;
pub(crate) mod drill;
pub(crate) mod evidence;
pub(crate) mod grant;
pub(crate) mod import;
pub(crate) mod policy;
pub(crate) mod review;
pub(crate) mod roles;
pub(crate) mod secret;
pub(crate) mod target;
pub(crate) mod task;
pub(crate) mod webhook;
