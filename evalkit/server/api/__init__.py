"""The API as a service: its resources and what they remember. Sans-IO."""
