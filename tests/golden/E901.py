import threading

import omega


def elsewhere():
    try:
        interpreter.eval("(+ 1 2)")
    except omega.OmegaError as error:
        print(error)


with omega.Interpreter() as interpreter:
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
