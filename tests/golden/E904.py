import omega

with omega.Interpreter() as interpreter:
    pass
try:
    interpreter.eval("(+ 1 2)")
except omega.OmegaError as error:
    print(error)
