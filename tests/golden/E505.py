import omega

prices = {"apple": 3}

with omega.Interpreter() as interpreter:
    interpreter.define("price-of", lambda name: prices[name])
    try:
        interpreter.eval('(* 2 (price-of "plum"))')
    except omega.OmegaError as error:
        print(error)
