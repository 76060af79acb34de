"""Video in, video out: the only room that knows the video library."""
