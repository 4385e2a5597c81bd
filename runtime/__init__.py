"""Process and operating system support for server and client, independent of the chat."""
