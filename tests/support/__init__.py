"""What tests share: workspaces, servers, browsers and other machinery that makes no claim of its own."""
