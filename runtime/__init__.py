"""What a process needs of the system it runs on, whichever side of the chat it is: nothing here knows the chat."""
