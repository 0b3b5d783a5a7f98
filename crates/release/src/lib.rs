//! Held and a verified release order to Released
