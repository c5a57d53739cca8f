"""Links between agents: how long bytes take, alone and among others, in closed form and by events."""
