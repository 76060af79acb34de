"""What one frame can tell: detections, landmarks, pose, identity, tracks."""
