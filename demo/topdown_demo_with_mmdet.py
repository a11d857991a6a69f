"""MMPose's top-down demo, with limner: python demo/topdown_demo_with_mmdet.py --help"""

from limner.mmpose import demos

if __name__ == "__main__":
    demos.main(demos.topdown)
