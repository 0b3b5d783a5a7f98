//! Bytes and catalog to effect and findings; every parser lives here
