"""What tells the time besides NTS servers: one module a kind.  Pure.

`independent` puts the kinds together.  It and what it needs are imported only where the
configuration names one of them: a device without costs neither memory nor time.
"""
