"""A simulated world of pipelines, warehouses, archives, and an API, to play histories in.

- `parts`: a row and its versions, the API, archives, pipelines, and targets.
- `world`: what runs, users, and commands do to them, what was billed, and the oracle: after a run
  that is done, a warehouse has the newest version of each row that its filters ask for, but for a
  gap that it was told of. No row is billed again that has not changed since it was read, unless the
  user has decided so.
- `runs`: what a run is. It is one of two kinds.
- `in_memory`: the loop of the tap in this process, on files in memory. It takes milliseconds.
- `process`: the installed tap, which is killed or stopped anywhere.
- `histories`: what may happen, at random.

The same steps are played with both: scripted ones are in `test_traps` and `test_promises`, random
ones in `test_histories` and `test_promises`.
"""
