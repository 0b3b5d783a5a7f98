//! The front process: agents' door, people's door, analysis, policy, view
