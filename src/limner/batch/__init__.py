"""One job over a hundred thousand images and videos: resumable, on one machine or on a Ray cluster.

`job.run` lists the inputs (`items`) and hands them, in parts, to an engine: `local`, processes of this machine, or
`cluster`, the actors of an existing Ray cluster. Both let `work.Worker` do the same with each input, and `store` puts
each result into place at once, under a name that says which input and which settings it is of. So an input can be
done twice, by two workers or after a kill, and there is one result; what has a result is never done again.
"""
