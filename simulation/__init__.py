"""A city that moves: recorded rides as a living fleet (the demo), or random ones as load, through the public doors."""
