def reference(document): return ""
def errors(): return ""
