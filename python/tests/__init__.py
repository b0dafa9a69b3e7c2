import os

# As what is tested has it (torbiz.petals_compat), and before anything imports PyTorch, which reads it once: where
# others want the two cores as well, threads that wait by spinning cost a sixth of all that the tests compute.
os.environ.setdefault("GOMP_SPINCOUNT", "300")
