//! Effect, task and people to a decision with reasons; Cedar lives here
