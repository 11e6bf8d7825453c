"""Workarounds of Prefect 3.8.8; each module says in its first lines what it works around, so that it can go one day.

``settings``     its settings, before it is imported
``address``      which server is set for a run
``asking``       one question to a server
``embedded``     its server as a child that ends with the run
``lost_server``  a server that goes away in the middle of a run
``dead_runs``    records of runs whose process was killed
``ended_runs``   how runs ended whose server was away then
``leases``       a concurrency limit whose lease is lost
``in_service``   what the outermost flow of a process needs of all these
"""
