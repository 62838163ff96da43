"""What every service has: settings, the secret and certificates that it starts on, its readiness, pages of its lists. The client reads certificates here too."""
