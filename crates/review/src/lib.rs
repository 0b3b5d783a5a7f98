//! The people's door: web pages and API
