from __future__ import annotations
def forward_launches(case, tile, capability): return ()
def backward_launches(case, tile, capability): return ()
