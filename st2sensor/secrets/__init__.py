"""Secrets from elsewhere: files, the environment, Vault and programs, as `{{ secret(...) }}` names them."""
