//! The agents' door: MCP and HTTP
