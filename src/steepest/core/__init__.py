r"""One training step is one sentence, and the sentence is the architecture.

.. math:: x^+ = R_x\bigl(-\eta \cdot U^\top D(U \cdot C(O(f; q(x))))\bigr)

Read inside out: evaluate at a *point* q, through an *oracle* O, communicate over a *channel* C, change coordinates by a
*chart* U, turn the gradient into a *direction* D, choose a *step size* η, and move by a *geometry* R.  A paper almost always
changes one letter, so a method is one small part and an assembly of parts that exist already.

========= ====== ============================================ =====================================================
seam      letter the question it answers                      runs as
========= ====== ============================================ =====================================================
point     q      where to evaluate, which point to keep?      host control flow, and optionally a map after D
oracle    O      how are loss and gradient evaluated?         host control flow
channel   C      what do processes communicate?               host barrier
chart     U      in what coordinates?                         host linear algebra around a kernel
direction D      which way, given g?                          a map over tensors: kernel
step size η      how far?                                     a reduction in the kernel, then arithmetic on the host
geometry  R      how does x move?                             a map over tensors: kernel
========= ====== ============================================ =====================================================

Direction and geometry are *maps*, the step size is a *reduction*, the others are *control flow*: this is at the same
time the border between compiled and Python code.  ``part`` holds the seams, ``rule`` puts the maps of an assembly
together, ``lift`` runs a rule (``native`` prints it as one loop over a table of tensors), ``codec`` stores state,
``evaluate`` is the contract for methods that evaluate the loss more than once, ``optimizer`` is the driver.
"""
