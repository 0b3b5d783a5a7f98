//! Fixed clock, software passkey and SSH keys, scripted agent; development only
