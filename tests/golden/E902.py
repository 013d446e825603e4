import omega

TEXT = "(get-environment-variable name)"

with omega.Interpreter(record="run.tape", grants=omega.Grants(env=True)) as interpreter:
    interpreter.define("name", "LANG")
    interpreter.eval(TEXT)

try:
    with omega.replay("run.tape") as interpreter:
        interpreter.define("name", "HOME")
        interpreter.eval(TEXT)
except omega.ReplayDivergence as error:
    print(error)
