"""What a person looks at and decides: doubtful frames, placed faces, gaps, steadier points."""
