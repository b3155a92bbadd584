"""Stream: relaying a backend's answer while the inspectors look at it."""
