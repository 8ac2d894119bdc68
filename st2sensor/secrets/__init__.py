"""Secrets in files, the environment, Vault and programs, which configurations name with `{{ secret(...) }}`."""
